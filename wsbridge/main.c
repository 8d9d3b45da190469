/*
 * wsbridge -- news for browsers: NNTP over WebSocket, and the page that
 * speaks it.
 *
 * Started by the master only, with the descriptors of lib/child.h and its
 * listening sockets behind them.
 */
#include <signal.h>

#include "lib/child.h"
#include "lib/log.h"
#include "wsbridge/bridge.h"

int
main(int argc, char **argv)
{
    struct child_arguments arguments;
    struct bridge bridge;

    if (child_arguments_parse(&arguments, argc, argv) < 0)
        die(EXIT_USAGE, "wsbridge is started by innd");
    log_open("wsbridge", false);
    child_set_title(argc, argv, "renews: wsbridge");
    /* A browser that vanishes is an error of one write, and ctrl-C on the
       terminal is the master's to act upon. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);

    bridge_open(&bridge, &arguments);
    bridge_serve(&bridge);
    bridge_close(&bridge);
    return 0;
}
