"""Who somebody is, as Windows knows: the SID of a token's user, of a pipe's client, of an object's owner.

Raises WindowsError. ``advapi32`` and ``kernel32`` are those of ``dlls.load``.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_uint32, c_void_p
from typing import Any, Final

from .overlapped import WindowsError

SYSTEM: Final = "S-1-5-18"
ADMINISTRATORS: Final = "S-1-5-32-544"
_TOKEN_QUERY: Final = 0x8
_TOKEN_USER: Final = 1
_TOKEN_BYTES: Final = 256
"""TOKEN_USER and the longest SID (68 bytes) behind it, with room."""
_OWNER: Final = 1
_KERNEL_OBJECT: Final = 6
_MAX_SID_CHARACTERS: Final = 200


class Security:
    """What is asked of advapi32.dll."""

    def __init__(self, advapi32: Any, kernel32: Any) -> None:
        self._advapi32 = advapi32
        self._kernel32 = kernel32

    def own_sid(self) -> str:
        """Return the SID of this process's user."""
        token = c_void_p()
        process = self._kernel32.GetCurrentProcess()
        self._check("OpenProcessToken", self._advapi32.OpenProcessToken(process, _TOKEN_QUERY, byref(token)))
        return self._user_of(token)

    def sid_of_client(self, pipe: int) -> str:
        """Return the SID of the user who wrote last to a pipe, whose server we are. Reverts what it impersonates."""
        self._check("ImpersonateNamedPipeClient", self._advapi32.ImpersonateNamedPipeClient(pipe))
        token = c_void_p()
        try:
            thread = self._kernel32.GetCurrentThread()
            # As ourselves: the client may have allowed us no more than to see who he is.
            done = self._advapi32.OpenThreadToken(thread, _TOKEN_QUERY, 1, byref(token))
            error = 0 if done else int(self._kernel32.GetLastError())
        finally:
            # A thread that stayed somebody else would be worse than none.
            if not self._advapi32.RevertToSelf():
                raise SystemError("RevertToSelf failed: this thread must not go on as its caller")
        if error:
            raise WindowsError("OpenThreadToken", error)
        return self._user_of(token)

    def owner_of(self, handle: int) -> str:
        """Return the SID of the owner of an open object."""
        owner, descriptor = c_void_p(), c_void_p()
        error = self._advapi32.GetSecurityInfo(
            handle, _KERNEL_OBJECT, _OWNER, byref(owner), None, None, None, byref(descriptor)
        )
        if error:
            raise WindowsError("GetSecurityInfo", int(error))
        try:
            return self._text_of(owner.value)
        finally:
            self._kernel32.LocalFree(descriptor)

    def descriptor(self, sddl: str) -> c_void_p:
        """Return a security descriptor; it is never given back: one is made for a process's life."""
        found = c_void_p()
        done = self._advapi32.ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl, 1, byref(found), None)
        self._check("ConvertStringSecurityDescriptorToSecurityDescriptor", done)
        return found

    def _user_of(self, token: c_void_p) -> str:
        try:
            # TOKEN_USER: a SID_AND_ATTRIBUTES, whose pointer leads into the same buffer.
            buffer, size = (c_void_p * (_TOKEN_BYTES // 8))(), c_uint32()
            done = self._advapi32.GetTokenInformation(token, _TOKEN_USER, byref(buffer), _TOKEN_BYTES, byref(size))
            self._check("GetTokenInformation", done)
            return self._text_of(buffer[0])
        finally:
            self._kernel32.CloseHandle(token)

    def _text_of(self, sid: int | None) -> str:
        text = c_void_p()
        self._check("ConvertSidToStringSid", self._advapi32.ConvertSidToStringSidW(sid, byref(text)))
        try:
            return self._wide_text(text.value or 0)
        finally:
            self._kernel32.LocalFree(text)

    def _wide_text(self, address: int) -> str:
        """Return the UTF-16 text that Windows made there: a SID is plain ASCII."""
        units: list[int] = []
        while len(units) < _MAX_SID_CHARACTERS and (unit := ctypes.c_uint16.from_address(address).value):
            units.append(unit)
            address += 2
        return "".join(map(chr, units))

    def _check(self, call: str, done: int) -> None:
        if not done:
            raise WindowsError(call, int(self._kernel32.GetLastError()))
