/*
 * nnrpd -- a reader worker: speaks NNTP with many clients at once.
 *
 * Started by the master only, with the descriptors of lib/child.h.
 */
#include <signal.h>
#include <stdlib.h>

#include "lib/child.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "nnrpd/worker.h"

int
main(int argc, char **argv)
{
    struct child_arguments arguments;
    struct worker worker;
    char *name, *title;

    if (child_arguments_parse(&arguments, argc, argv) < 0)
        die(EXIT_USAGE, "nnrpd is started by innd");
    name = xasprintf("nnrpd %u", arguments.worker);
    log_open(name, false);
    title = xasprintf("renews: %s", name);
    child_set_title(argc, argv, title);
    free(title);
    /* A client that vanishes is an error of one write, and ctrl-C on the
       terminal is the master's to act upon. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);

    memory_keep();
    worker_open(&worker, &arguments);
    worker_serve(&worker);
    worker_close(&worker);
    free(name);
    return 0;
}
