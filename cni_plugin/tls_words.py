"""What the two Pythons' TLS libraries report, in one sentence that is the same for both, and what to do.

OpenSSL names a reason (`ssl.SSLError.reason`) and a code of X.509's (`verify_code`), Mbed TLS a negative
number or a list of complaints, one a line.
"""

from __future__ import annotations

NO_TLS = "speaks no TLS: is it http://?"
UNSIGNED = "its certificate is not signed by an authority in caFile"
EXPIRED = "its certificate has expired"
FUTURE = "its certificate is not valid yet: compare the clocks"
OTHER_NAME = "its certificate is for another name"
NOTHING_COMMON = "has no version or cipher of TLS in common with this plugin"
NO_CERTIFICATE = "holds no certificate"
NO_KEY = "holds no key without a passphrase"
OTHER_KEY = "holds another key than certFile's"
CUT_OFF = "connection closed before the answer was complete"

_BEGINNING = b"-----BEGIN CERTIFICATE-----"
# As OpenSSL finds them: who signed, from when until when, for whom.
_COMPLAINTS = (
    ("not correctly signed", UNSIGNED),
    ("expired", EXPIRED),
    ("in the future", FUTURE),
    ("does not match", OTHER_NAME),
)
_CODES_UNSIGNED = (2, 7, 18, 19, 20, 21, 24, 26)
_CODES = {9: FUTURE, 10: EXPIRED, 62: OTHER_NAME, 64: OTHER_NAME}
_NUMBERS = {
    -0x7200: NO_TLS,  # a record that is none
    -0x7100: NO_TLS,  # bad input data
    -0x7700: NO_TLS,  # a message out of turn
    -0x7300: NO_TLS,  # one that cannot be decoded
    -0x6E00: NOTHING_COMMON,
    -0x6E80: NOTHING_COMMON,
    -0x6600: NOTHING_COMMON,
    -0x7A00: UNSIGNED,
    -0x2700: UNSIGNED,
}
_REASONS = {
    "WRONG_VERSION_NUMBER": NO_TLS,
    "HTTP_REQUEST": NO_TLS,
    "PACKET_LENGTH_TOO_LONG": NO_TLS,
    "RECORD_LAYER_FAILURE": NO_TLS,
    "UNEXPECTED_MESSAGE": NO_TLS,
    "UNSUPPORTED_PROTOCOL": NOTHING_COMMON,
    "NO_PROTOCOLS_AVAILABLE": NOTHING_COMMON,
    "NO_SHARED_CIPHER": NOTHING_COMMON,
    "TLSV1_ALERT_PROTOCOL_VERSION": NOTHING_COMMON,
}
_FATAL_ALERT = -0x7780


def is_pem(data: bytes) -> bool:
    """Tell whether there may be a certificate in a file."""
    return _BEGINNING in data


def closed(shows_certificate: bool) -> str:
    """Say that the other side ended the handshake."""
    return f"closed the connection while TLS was set up: {_hint(shows_certificate)}"


def of_complaints(text: str) -> str:
    """Say what Mbed TLS has against a server's certificate."""
    for part, words in _COMPLAINTS:
        if part in text:
            return words
    return "its certificate is not to be trusted: " + "; ".join([line for line in text.split("\n") if line])


def of_number(number: int, shows_certificate: bool) -> str:
    """Say an error of Mbed TLS."""
    if number == _FATAL_ALERT:
        return _refused(shows_certificate)
    return _NUMBERS.get(number) or f"TLS failed (error -0x{-number:04x} of Mbed TLS)"


def of_verification(code: int, text: str) -> str:
    """Say what OpenSSL has against a server's certificate."""
    if code in _CODES_UNSIGNED:
        return UNSIGNED
    return _CODES.get(code) or f"its certificate is not to be trusted: {text}"


def of_reason(reason: str, shows_certificate: bool) -> str:
    """Say an error of OpenSSL."""
    if reason in _REASONS:
        return _REASONS[reason]
    if "_ALERT_" in reason:
        return _refused(shows_certificate)
    return f"TLS failed ({reason.lower().replace('_', ' ')})"


def _refused(shows_certificate: bool) -> str:
    return f"refused what TLS needs: {_hint(shows_certificate)}"


def _hint(shows_certificate: bool) -> str:
    if shows_certificate:
        return "it may not trust the authority of certFile"
    return "it may want a client's certificate, which certFile and keyFile name"
