/* Calls functions of Windows for a program outside: so that the LinkManager's own code, which runs in the Python of Linux,
 * can be tried against the DLLs of Wine. See wine.py beside this file: nothing of this is in a product or in CI.
 *
 * Says on standard output where it listens (127.0.0.1), and serves each connection in a thread of its own, because
 * impersonation and the last error belong to a thread. A request, little-endian:
 *
 *     u32 size of what follows
 *     text NUL text NUL        DLL and function; an empty DLL: "read" (address, size) returns memory
 *     u32 count, and that many arguments:
 *         0 u64                a number
 *         1 u64 key u32 size   memory of that key as it is
 *         2 u64 key u32 size bytes   memory of that key, with this content
 *
 * The answer: u32 size of what follows, u64 result, u32 last error, then the content of each memory argument in turn.
 */
#include <winsock2.h>
#include <windows.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ARGUMENTS 12
#define MOST_BYTES (1 << 20)

struct memory {
    uint64_t key;
    uint32_t size;
    struct memory *next;
    unsigned char *bytes;
};

static struct memory *memories;
static CRITICAL_SECTION lock;

/* The same key and size are the same place for good: a driver may still write there. */
static unsigned char *place_of(uint64_t key, uint32_t size)
{
    struct memory *found;
    EnterCriticalSection(&lock);
    for (found = memories; found && (found->key != key || found->size != size); found = found->next)
        ;
    if (!found) {
        found = calloc(1, sizeof *found);
        found->key = key;
        found->size = size;
        found->bytes = calloc(1, size + 8);
        found->next = memories;
        memories = found;
    }
    LeaveCriticalSection(&lock);
    return found->bytes;
}

static int receive_all(SOCKET s, void *to, uint32_t size)
{
    char *at = to;
    while (size) {
        int got = recv(s, at, (int)size, 0);
        if (got <= 0)
            return 0;
        at += got;
        size -= (uint32_t)got;
    }
    return 1;
}

typedef uint64_t (*function)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                             uint64_t, uint64_t, uint64_t);

static DWORD WINAPI serve(void *argument)
{
    SOCKET s = (SOCKET)(uintptr_t)argument;
    unsigned char *request = malloc(MOST_BYTES), *answer = malloc(MOST_BYTES);
    uint32_t size;
    while (receive_all(s, &size, 4) && size < MOST_BYTES && receive_all(s, request, size)) {
        const char *dll = (const char *)request, *name = dll + strlen(dll) + 1;
        unsigned char *at = (unsigned char *)name + strlen(name) + 1;
        uint64_t given[MOST_ARGUMENTS] = {0}, result = 0;
        unsigned char *places[MOST_ARGUMENTS] = {0};
        uint32_t sizes[MOST_ARGUMENTS] = {0}, count, i, used = 12;
        DWORD error = 0;
        memcpy(&count, at, 4);
        at += 4;
        for (i = 0; i < count && i < MOST_ARGUMENTS; i++) {
            unsigned char kind = *at++;
            memcpy(&given[i], at, 8);
            at += 8;
            if (kind) {
                memcpy(&sizes[i], at, 4);
                at += 4;
                places[i] = place_of(given[i], sizes[i]);
                given[i] = (uint64_t)(uintptr_t)places[i];
                if (kind == 2) {
                    memcpy(places[i], at, sizes[i]);
                    at += sizes[i];
                }
            }
        }
        if (!*dll) {
            memcpy(answer + 4 + used, (void *)(uintptr_t)given[0], given[1]);
            used += (uint32_t)given[1];
        } else {
            function f = (function)(void *)GetProcAddress(LoadLibraryA(dll), name);
            if (f) {
                SetLastError(0);
                result = f(given[0], given[1], given[2], given[3], given[4], given[5], given[6], given[7], given[8],
                           given[9], given[10], given[11]);
                error = GetLastError();
            } else {
                error = ERROR_PROC_NOT_FOUND;
            }
            for (i = 0; i < MOST_ARGUMENTS; i++)
                if (places[i]) {
                    memcpy(answer + 4 + used, places[i], sizes[i]);
                    used += sizes[i];
                }
        }
        memcpy(answer, &used, 4);
        memcpy(answer + 4, &result, 8);
        memcpy(answer + 12, &error, 4);
        if (send(s, (char *)answer, (int)(used + 4), 0) <= 0)
            break;
    }
    closesocket(s);
    return 0;
}

int main(void)
{
    WSADATA data;
    struct sockaddr_in address = {0};
    int size = sizeof address;
    SOCKET listening;
    InitializeCriticalSection(&lock);
    WSAStartup(MAKEWORD(2, 2), &data);
    listening = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listening, (struct sockaddr *)&address, sizeof address);
    listen(listening, 16);
    getsockname(listening, (struct sockaddr *)&address, &size);
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        SOCKET s = accept(listening, NULL, NULL);
        BOOL on = TRUE;
        if (s == INVALID_SOCKET)
            return 0;
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (char *)&on, sizeof on);
        CloseHandle(CreateThread(NULL, 0, serve, (void *)(uintptr_t)s, 0, NULL));
    }
}
