package trigger

import "github.com/gomanhole/oneshot/internal/asynclog"

// Config has the parts of a trigger that the caller supplies.
type Config struct {
	Process func() (pid int, isThis bool) // returns the process that opens the manhole, and whether the calling process is it
	Open    func()                        // is called when the file names the process; must not block
	Report  func()                        // the same, if the word report follows the pid
	Log     *asynclog.Log
}
