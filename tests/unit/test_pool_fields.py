"""Whatever REST knows of a pool, the page's form and the tables for spreadsheets know too."""

from ipamd.api.schemas.pool import NewPool
from ipamd.models.csv_table import COLUMNS, CsvKind
from ipamd.web.forms import POOL


def test_the_form_has_a_field_for_each_field_of_a_pool() -> None:
    assert {field.name.partition(".")[0] for field in POOL.fields} == set(NewPool.model_fields)


def test_a_table_has_a_column_for_each_field_of_a_pool() -> None:
    assert set(COLUMNS[CsvKind.POOLS]) == set(NewPool.model_fields)
