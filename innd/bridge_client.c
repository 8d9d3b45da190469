#include "innd/bridge_client.h"

#include <string.h>
#include <sys/socket.h>

#include "lib/address.h"
#include "lib/ipc.h"

static bool
socket_option_is(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0
           && value == wanted;
}

bool
bridge_client_is_good(const struct ipc_bridge *client, int fd)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);

    return memchr(client->address, '\0', sizeof(client->address)) != NULL
           && address_is_valid(client->address) && client->port <= 65535
           && client->near <= 1 && socket_option_is(fd, SO_DOMAIN, AF_UNIX)
           && socket_option_is(fd, SO_TYPE, SOCK_STREAM)
           && getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}
