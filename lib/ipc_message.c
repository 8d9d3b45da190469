/* Payloads that are more than one struct. */
#include <assert.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/ipc.h"

void
ipc_command_build(struct buffer *payload, uint64_t cookie, int words,
                  const char *const *word)
{
    struct ipc_command command = {.cookie = cookie, .words = (uint32_t)words};

    buffer_append(payload, &command, sizeof(command));
    for (int i = 0; i < words; i++)
        buffer_append(payload, word[i], strlen(word[i]) + 1);
}

int
ipc_command_words(const struct ipc_frame *frame, const char **words_r,
                  int words_max)
{
    struct ipc_command command;
    const char *at;
    const char *end = (const char *)frame->payload + frame->octets;

    if (frame->octets < sizeof(command))
        return -1;
    memcpy(&command, frame->payload, sizeof(command));
    at = (const char *)frame->payload + sizeof(command);
    if (command.words > (uint32_t)words_max)
        return -1;
    for (uint32_t i = 0; i < command.words; i++) {
        const char *nul = memchr(at, '\0', (size_t)(end - at));

        if (nul == NULL)
            return -1;
        words_r[i] = at;
        at = nul + 1;
    }
    return at == end ? (int)command.words : -1;
}

void
ipc_login_build(struct buffer *payload,
                const struct ipc_login_request *request)
{
    struct ipc_login login = {
        .cookie = request->cookie,
        .kind = request->kind,
        .name_octets = (uint32_t)request->name_octets,
        .secret_octets = (uint32_t)request->secret_octets,
    };

    assert(strlen(request->address) < sizeof(login.address));
    memcpy(login.address, request->address, strlen(request->address));
    /* At once, for a buffer that grows leaves copies behind. */
    (void)buffer_reserve(payload, sizeof(login) + request->name_octets
                                      + request->secret_octets);
    buffer_append(payload, &login, sizeof(login));
    buffer_append(payload, request->name, request->name_octets);
    buffer_append(payload, request->secret, request->secret_octets);
}

int
ipc_login_parse(const struct ipc_frame *frame,
                struct ipc_login_request *request_r)
{
    const struct ipc_login *login = frame->payload;
    size_t room;

    if (frame->octets < sizeof(*login)
        || memchr(login->address, '\0', sizeof(login->address)) == NULL
        || login->kind < LOGIN_PASSWORD || login->kind > LOGIN_AGAIN)
        return -1;
    room = frame->octets - sizeof(*login);
    if (login->name_octets > room
        || login->secret_octets != room - login->name_octets)
        return -1;
    *request_r = (struct ipc_login_request){
        .cookie = login->cookie,
        .address = login->address,
        .kind = login->kind,
        .name = (const char *)(login + 1),
        .name_octets = login->name_octets,
        .secret = (const char *)(login + 1) + login->name_octets,
        .secret_octets = login->secret_octets,
    };
    return 0;
}
