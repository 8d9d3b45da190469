#include "expire/interrupt.h"

#include <stddef.h>

volatile sig_atomic_t interrupted;

static void
interrupt(int number)
{
    (void)number; /* all of them say the same */
    interrupted = 1;
}

void
interrupt_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    /* The handler is gone after the first. */
    struct sigaction action = {.sa_handler = interrupt,
                               .sa_flags = SA_RESETHAND};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}
