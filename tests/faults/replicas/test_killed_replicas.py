"""ipamd is killed again and again, on PostgreSQL under load: what clients were told stays true."""

import pytest

from tests.faults.clients import at_once
from tests.faults.ledger import compare
from tests.faults.replicas.clients import await_answers, clients_at
from tests.faults.replicas.cluster import PostgresTables
from tests.faults.replicas.services import services
from tests.postgres import Postgres

ROUNDS = 7  # of which four kill both: 11 kills


@pytest.mark.timeout(300)
def test_every_answer_stays_true_over_eleven_kills_of_ipamd(postgres: Postgres, database: str) -> None:
    with services(postgres.url(database)) as replicas:
        with clients_at(*(each.port for each in replicas)) as clients:
            for number in range(ROUNDS):
                await_answers(clients)
                victims = [replicas[number % 4 // 2]] if number % 2 else replicas
                for victim in victims:
                    victim.kill()
                at_once([victim.start for victim in victims])
            await_answers(clients)

        compare([client.ledger for client in clients], PostgresTables(postgres, database))
        assert replicas[0].contradictions() == []
