/*
 * ipc_private -- what ipc.c and ipc_socket.c share of the way messages go over
 * a socket.
 */
#ifndef LIB_IPC_PRIVATE_H
#define LIB_IPC_PRIVATE_H

#include <stddef.h>

#include "lib/ipc.h"

enum { DESCRIPTORS_PER_MESSAGE = 4 }; /* room to see, and close, a surplus */

/* Octets behind a payload of so many, up to where the next frame begins. */
static inline size_t
ipc_padding(size_t octets)
{
    return (IPC_ALIGNMENT - octets % IPC_ALIGNMENT) % IPC_ALIGNMENT;
}

#endif
