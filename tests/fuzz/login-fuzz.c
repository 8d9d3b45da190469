/*
 * A login from a worker: whatever the octets say, name and secret lie within
 * them, and what parses is built again as it was.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

int
LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    struct ipc_frame frame = {.type = IPC_LOGIN, .descriptor = -1};
    struct ipc_login_request request;
    struct buffer again = BUFFER_EMPTY;
    /* Aligned, and with nothing behind it, as a frame's payload is. */
    char *payload = malloc(length > 0 ? length : 1);

    if (length > 0)
        memcpy(payload, octets, length);
    frame.payload = payload;
    frame.octets = length;
    if (ipc_login_parse(&frame, &request) == 0) {
        ipc_login_build(&again, &request);
        if (again.used != length
            || memcmp(again.data + sizeof(struct ipc_login),
                      payload + sizeof(struct ipc_login),
                      length - sizeof(struct ipc_login))
                   != 0
            || strcmp(((struct ipc_login *)(void *)again.data)->address,
                      request.address)
                   != 0)
            abort();
    }
    buffer_free(&again);
    free(payload);
    return 0;
}
