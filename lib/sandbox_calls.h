/*
 * sandbox_calls -- which system calls a process may make (seccomp).
 *
 * Within lib/ only: lib/sandbox.c says which role has which sets.  A call that
 * is in none of them is not made: it fails with ENOSYS, as one that the kernel
 * does not have, and a warning names its number, once.  It does not kill the
 * process, since a new version of a library that asks for a new call first and
 * falls back (as glibc does) would make a dead server of a working one.
 */
#ifndef LIB_SANDBOX_CALLS_H
#define LIB_SANDBOX_CALLS_H

enum sandbox_calls {
    CALLS_NETWORK = 1 << 0, /* connect to other machines, find their names */
    CALLS_ACCEPT = 1 << 1,  /* take connections on a socket that listens */
    CALLS_FILES = 1 << 2,   /* make, change and remove files */
};

/* Irrevocable, for all threads.  Those of every process are always in it. */
void sandbox_calls_enter(unsigned sets);

#endif
