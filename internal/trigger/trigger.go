package trigger

import "github.com/gomanhole/oneshot/internal/asynclog"

// Config is what a trigger needs of its user.
type Config struct {
	Process func() (pid int, isThis bool) // the process that the file may name, and whether the caller runs in it
	Open    func()                        // called when the file names the process; must not wait
	Log     *asynclog.Log
}
