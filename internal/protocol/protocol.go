// Package protocol defines what a manhole and its client must agree on: texts that
// the one sends and the other looks for, the frames of a script, and the names of
// sockets. Both import it, so that neither can change alone. It depends on nothing.
package protocol

import "fmt"

// Prompt is what a console sends when it waits for a command.
const Prompt = ">>> "

// FindingsHeading is the line above what stands out in a dump.
const FindingsHeading = "What stands out:"

// The beginnings of the one line that is sent to a client that may not enter.
const (
	// Refused is followed by the reason.
	Refused = "oneshot: refused: "
	// TooLate is for a client that connected when the window was being closed. It
	// is followed by the reason.
	TooLate = "oneshot: too late, the window is closed: "
)

// Unmapped is part of the reason with which a client is refused whose user the user
// namespace of the process does not map.
const Unmapped = "stands for every user that this user namespace does not map"

// OwnHandler is what a script is told by a program without our commands.
const OwnHandler = "the program serves its clients itself (Options.Handler); there are no commands for scripts"

// CPUBusy is in the error of a CPU profile while the profiler runs for somebody else. It is
// the text of runtime/pprof.StartCPUProfile.
const CPUBusy = "cpu profiling already in use"

// Interrupt is the byte that stops the running command. It is what Ctrl-C sends
// where the terminal is raw (ETX).
const Interrupt = 0x03

// DefaultSocketPath is the path of the socket if the program does not set another;
// %p is the pid.
const DefaultSocketPath = "/tmp/manhole-%p"

// DefaultSocketPaths returns DefaultSocketPath, and the paths that take its place, one
// after the other, where no socket can be made in the folder: a container may have no
// /tmp, or a read-only one. A container usually has /dev/shm, even if its root is
// read-only, and everybody may write there, as in /tmp. The abstract namespace is always
// there. It has no modes, and belongs to the network namespace, which several containers
// may share: somebody else may connect, and is refused by his uid; somebody else may have
// the name first, and then the window does not open; and the client notices if the peer
// is not the process.
func DefaultSocketPaths() []string {
	return []string{DefaultSocketPath, "/dev/shm/manhole-%p", "@manhole-%p"}
}

// TempSuffix returns what is appended to the path of a socket that has not been
// moved there yet. The number should be random: another user who can guess the name
// could be there first.
func TempSuffix(n uint32) string { return fmt.Sprintf(".%06x", n&0xffffff) }

// IsTempSuffix reports whether TempSuffix can have returned s.
func IsTempSuffix(s string) bool {
	if len(s) != len(TempSuffix(0)) || s[0] != '.' {
		return false
	}
	for _, c := range []byte(s[1:]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
