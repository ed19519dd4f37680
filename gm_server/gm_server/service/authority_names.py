"""Names an authority in a server's request for a client certificate (RFC 8446 section 4.2.4).

OpenSSL can, Python's ``ssl`` cannot: here is its one missing call, by ctypes on the very library that ``ssl`` uses. A
``SSLContext`` of CPython holds the pointer to its ``SSL_CTX`` straight behind the object's head, from 3.11 to 3.14;
what was named is read back, and a test looks at it on the wire.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import sys

from gatelink.exceptions import GatelinkError


def name_authority(context: ssl.SSLContext, certificate: bytes) -> None:
    """Let ``context`` say that it takes certificates of this authority (DER); raises GatelinkError if it cannot."""
    if sys.implementation.name != "cpython":
        raise GatelinkError("certificates in browsers need CPython")
    library = ctypes.CDLL(getattr(_ssl, "__file__", None))
    try:
        named = _add(library, context, certificate)
    except AttributeError as error:
        raise GatelinkError(f"this Python's OpenSSL does not offer what names an authority ({error})") from None
    if named < 1:
        raise GatelinkError("OpenSSL did not take the name of the user authority")


def _add(library: ctypes.CDLL, context: ssl.SSLContext, certificate: bytes) -> int:
    """Add the name; return how many there are."""
    pointer = ctypes.c_void_p
    library.d2i_X509.restype = pointer
    library.d2i_X509.argtypes = [pointer, ctypes.POINTER(ctypes.c_char_p), ctypes.c_long]
    library.X509_free.argtypes = [pointer]
    library.SSL_CTX_add_client_CA.argtypes = [pointer, pointer]
    library.SSL_CTX_get_client_CA_list.restype = pointer
    library.SSL_CTX_get_client_CA_list.argtypes = [pointer]
    library.OPENSSL_sk_num.argtypes = [pointer]
    inner = pointer.from_address(id(context) + object.__basicsize__)
    parsed = library.d2i_X509(None, ctypes.byref(ctypes.c_char_p(certificate)), len(certificate))
    if not parsed:
        # What stays in this thread's queue of errors would be taken for a fault of the next call of ``ssl``.
        library.ERR_clear_error()
        raise GatelinkError("the user authority's certificate cannot be read")
    try:
        if library.SSL_CTX_add_client_CA(inner, parsed) != 1:
            return 0
        return int(library.OPENSSL_sk_num(library.SSL_CTX_get_client_CA_list(inner)))
    finally:
        library.X509_free(parsed)
