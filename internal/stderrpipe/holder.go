package stderrpipe

import "github.com/gomanhole/oneshot/internal/clientio"

// Holder is a session that can take descriptor 2. Only one session has it at a time.
type Holder struct {
	PID int              // the process ID of the client
	Out *clientio.Output // receives what the process writes to descriptor 2

	ended bool // End was called, so the session cannot take the descriptor any more; guarded by stderrNow
}
