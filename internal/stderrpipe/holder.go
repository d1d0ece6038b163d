package stderrpipe

import "github.com/gomanhole/oneshot/internal/clientio"

// Holder is a session that may have descriptor 2. One session at a time has it.
type Holder struct {
	PID int // of the client
	Out *clientio.Output

	ended bool // it cannot take the descriptor any more; guarded by the lock of the redirect
}
