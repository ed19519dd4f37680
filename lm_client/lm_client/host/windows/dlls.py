"""The functions of Windows that are called, with their types: without them ctypes would cut handles to 32 bits.

``PROTOTYPES`` is a table of what the SDK's headers declare, so that whoever plays a DLL can check its calls by it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import c_int32, c_uint8, c_uint16, c_uint32, c_void_p, c_wchar_p
from typing import Any, Final, TypeAlias

Prototype: TypeAlias = tuple[Any, tuple[Any, ...]]
"""What it returns (None: nothing), and what it takes. Every pointer is a ``c_void_p``, but text (UTF-16)."""

_BOOL, _DWORD, _HANDLE, _POINTER, _TEXT = c_int32, c_uint32, c_void_p, c_void_p, c_wchar_p

PROTOTYPES: Final[Mapping[str, Mapping[str, Prototype]]] = {
    "kernel32": {
        "CancelIoEx": (_BOOL, (_HANDLE, _POINTER)),
        "CloseHandle": (_BOOL, (_HANDLE,)),
        "ConnectNamedPipe": (_BOOL, (_HANDLE, _POINTER)),
        "CreateEventW": (_HANDLE, (_POINTER, _BOOL, _BOOL, _TEXT)),
        "CreateFileW": (_HANDLE, (_TEXT, _DWORD, _DWORD, _POINTER, _DWORD, _DWORD, _HANDLE)),
        "CreateNamedPipeW": (_HANDLE, (_TEXT, _DWORD, _DWORD, _DWORD, _DWORD, _DWORD, _DWORD, _POINTER)),
        "DeviceIoControl": (_BOOL, (_HANDLE, _DWORD, _POINTER, _DWORD, _POINTER, _DWORD, _POINTER, _POINTER)),
        "DuplicateHandle": (_BOOL, (_HANDLE, _HANDLE, _HANDLE, _POINTER, _DWORD, _BOOL, _DWORD)),
        "GetCurrentProcess": (_HANDLE, ()),
        "GetCurrentThread": (_HANDLE, ()),
        "GetLastError": (_DWORD, ()),
        "GetNamedPipeClientProcessId": (_BOOL, (_HANDLE, _POINTER)),
        "GetNamedPipeClientSessionId": (_BOOL, (_HANDLE, _POINTER)),
        "GetOverlappedResult": (_BOOL, (_HANDLE, _POINTER, _POINTER, _BOOL)),
        "LocalFree": (c_void_p, (_POINTER,)),
        "OpenProcess": (_HANDLE, (_DWORD, _BOOL, _DWORD)),
        "PeekNamedPipe": (_BOOL, (_HANDLE, _POINTER, _DWORD, _POINTER, _POINTER, _POINTER)),
        "ReadFile": (_BOOL, (_HANDLE, _POINTER, _DWORD, _POINTER, _POINTER)),
        "SetEvent": (_BOOL, (_HANDLE,)),
        "WaitForMultipleObjects": (_DWORD, (_DWORD, _POINTER, _BOOL, _DWORD)),
        "WaitNamedPipeW": (_BOOL, (_TEXT, _DWORD)),
        "WriteFile": (_BOOL, (_HANDLE, _POINTER, _DWORD, _POINTER, _POINTER)),
    },
    "advapi32": {
        "ConvertSidToStringSidW": (_BOOL, (_POINTER, _POINTER)),
        "ConvertStringSecurityDescriptorToSecurityDescriptorW": (_BOOL, (_TEXT, _DWORD, _POINTER, _POINTER)),
        "GetSecurityInfo": (
            _DWORD,
            (_HANDLE, _DWORD, _DWORD, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER),
        ),
        "GetTokenInformation": (_BOOL, (_HANDLE, _DWORD, _POINTER, _DWORD, _POINTER)),
        "ImpersonateNamedPipeClient": (_BOOL, (_HANDLE,)),
        "OpenProcessToken": (_BOOL, (_HANDLE, _DWORD, _POINTER)),
        "OpenThreadToken": (_BOOL, (_HANDLE, _DWORD, _BOOL, _POINTER)),
        "RevertToSelf": (_BOOL, ()),
        "RegisterServiceCtrlHandlerExW": (_HANDLE, (_TEXT, _POINTER, _POINTER)),
        "SetServiceStatus": (_BOOL, (_HANDLE, _POINTER)),
        "StartServiceCtrlDispatcherW": (_BOOL, (_POINTER,)),
    },
    "iphlpapi": {
        "CancelMibChangeNotify2": (_DWORD, (_HANDLE,)),
        "ConvertInterfaceGuidToLuid": (_DWORD, (_POINTER, _POINTER)),
        "CreateIpForwardEntry2": (_DWORD, (_POINTER,)),
        "CreateIpNetEntry2": (_DWORD, (_POINTER,)),
        "CreateUnicastIpAddressEntry": (_DWORD, (_POINTER,)),
        "DeleteIpForwardEntry2": (_DWORD, (_POINTER,)),
        "DeleteUnicastIpAddressEntry": (_DWORD, (_POINTER,)),
        "FreeMibTable": (None, (_POINTER,)),
        "GetIpForwardTable2": (_DWORD, (c_uint16, _POINTER)),
        "GetUnicastIpAddressTable": (_DWORD, (c_uint16, _POINTER)),
        "InitializeIpForwardEntry": (None, (_POINTER,)),
        "InitializeUnicastIpAddressEntry": (None, (_POINTER,)),
        "NotifyUnicastIpAddressChange": (_DWORD, (c_uint16, _POINTER, _POINTER, c_uint8, _POINTER)),
    },
}

_loaded: dict[str, Any] = {}


def load(name: str) -> Any:
    """Return a DLL of the system with its prototypes. Windows only."""
    if name not in _loaded:
        make: Any = getattr(ctypes, "WinDLL", None)
        if make is None:
            raise OSError(f"{name}.dll is a part of Windows")
        dll = make(f"{name}.dll", use_last_error=True)
        for function, (result, arguments) in PROTOTYPES[name].items():
            found = getattr(dll, function)
            found.restype, found.argtypes = result, arguments
        _loaded[name] = dll
    return _loaded[name]
