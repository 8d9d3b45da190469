/*
 * feeder -- serves one peer: pushes to it what the log brings, pulls from it
 * what it does not push.
 *
 * Started by the master only, with the descriptors of lib/child.h.
 */
#include <signal.h>
#include <stdlib.h>

#include "feeder/feeder.h"
#include "lib/child.h"
#include "lib/log.h"
#include "lib/memory.h"

int
main(int argc, char **argv)
{
    struct child_arguments arguments;
    struct feeder feeder;
    char *name, *title;

    if (child_arguments_parse(&arguments, argc, argv) < 0
        || arguments.peer == NULL)
        die(EXIT_USAGE, "feeder is started by innd");
    name = xasprintf("feeder %s", arguments.peer);
    log_open(name, false);
    feeder_open(&feeder, &arguments);
    title = xasprintf("renews: %s", name);
    child_set_title(argc, argv, title);
    free(title);
    /* A peer that vanishes is an error of one write, and ctrl-C on the
       terminal is the master's to act upon. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);

    feeder_serve(&feeder);
    feeder_close(&feeder);
    free(name);
    return 0;
}
