// Package protocol defines what a manhole and its client must agree on: texts that
// the one sends and the other looks for, the frames of a script, and the names of
// sockets. Both import it, so that neither can change alone. It depends on nothing.
package protocol

import "fmt"

// Prompt is what a console sends when it waits for a command.
const Prompt = ">>> "

// FindingsHeading is the line above what stands out in a dump.
const FindingsHeading = "What stands out:"

// How the one line begins that a client gets which may not enter.
const (
	// Refused is followed by the reason.
	Refused = "oneshot: refused: "
	// TooLate is for a client that connected when the window was being closed. It
	// is followed by the reason.
	TooLate = "oneshot: too late, the window is closed: "
)

// Interrupt is the byte that stops the running command. It is what Ctrl-C sends
// where the terminal is raw (ETX).
const Interrupt = 0x03

// DefaultSocketPath is the path of the socket if the program does not set another;
// %p is the pid.
const DefaultSocketPath = "/tmp/manhole-%p"

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
