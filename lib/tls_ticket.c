#include "lib/tls_ticket.h"

#include <openssl/rand.h>
#include <string.h>

#include "lib/log.h"

void
tls_tickets_rotate(struct tls_tickets *tickets)
{
    memmove(&tickets->keys[1], &tickets->keys[0],
            sizeof(tickets->keys) - sizeof(tickets->keys[0]));
    if (RAND_priv_bytes((unsigned char *)&tickets->keys[0],
                        sizeof(tickets->keys[0]))
        != 1)
        die(EXIT_SYSTEM, "no random octets for keys of session tickets");
}
