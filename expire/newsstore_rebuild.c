/* newsstore rebuild: history and overview anew, from the spool alone. */

#include <time.h>

#include "expire/interrupt.h"
#include "expire/newsstore.h"
#include "expire/tools.h"
#include "lib/buffer.h"
#include "lib/log.h"
#include "lib/user.h"
#include "storage/rebuild.h"

int
newsstore_rebuild(struct newsstore *newsstore)
{
    struct buffer why = BUFFER_EMPTY;
    int status = 0;

    if (tools_server_runs(newsstore->config))
        die(EXIT_TEMPORARY, "rebuild: a server runs: stop it first");
    /* Root's files in the store would keep the server from starting. */
    if (user_become(newsstore->config, &why) < 0)
        die(EXIT_SYSTEM, "%s", buffer_text(&why));
    if (rebuild(newsstore->config, newsstore->quiet, &interrupted, &why) < 0) {
        status = interrupted ? EXIT_TEMPORARY : EXIT_IO;
        warn("rebuild: %s%s", buffer_text(&why),
             interrupted ? "; the next one goes on from here" : "");
    }
    buffer_free(&why);
    return status;
}
