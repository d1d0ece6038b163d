// Package access decides which users may enter the process if the program does not
// decide it itself. The rule is the kernel's for tracing: somebody may enter if he may
// trace the process anyway. It knows nothing about sockets and clients.
package access

import (
	"fmt"
	"os"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// Nobody is the uid that the kernel shows for a user that a user namespace does not map
// (proc(5), overflowuid). A sysctl can change the value; in practice nobody does that.
const Nobody = 65534

// process is what the rule asks about the process. Tests replace it.
type process struct {
	euid int
	// more returns what the process may do that its user may not, for example "it has
	// CAP_DAC_OVERRIDE". It returns "" if there is nothing.
	more func() string
	// allMapped reports whether the user namespace of the process maps every uid, so
	// that nobody is a user like any other.
	allMapped func() bool
}

// Check returns nil if a client with this effective uid may enter. Root may. The
// effective user of the process may, unless the process may do more than its user.
func Check(uid int) error {
	return process{os.Geteuid(), More, allMapped}.check(uid)
}

func (p process) check(uid int) error {
	switch {
	case uid == Nobody && !p.allMapped():
		return fmt.Errorf("uid %d %s; connect as root of this namespace", uid, protocol.Unmapped)
	case uid == 0:
		return nil
	case uid != p.euid:
		return fmt.Errorf("uid %d is neither the process's uid %d nor root", uid, p.euid)
	}
	if more := p.more(); more != "" {
		return fmt.Errorf("only root may enter this process: %s; connect as root", more)
	}
	return nil
}
