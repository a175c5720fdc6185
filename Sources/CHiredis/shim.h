// The reply reader alone: sockets, formatting and the event glue of hiredis stay outside.
#include <hiredis/read.h>
