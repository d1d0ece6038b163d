package findings

import (
	"time"

	"github.com/gomanhole/oneshot/internal/conns"
)

// reaction is the time within which a program reacts to what it has received, as with a
// pong to a ping. What it sends later is a question.
const reaction = 100 * time.Millisecond

// unanswered reports whether n goroutines can wait for an answer, each on a connection of
// its own that the program has opened. The kernel knows on how many of these connections a
// question is open. On the others, the next message may come at any time: the program may
// be the client of a server that only sends news.
func (e *Evidence) unanswered(n int) bool {
	var all []conns.Conn
	if e.Conns != nil {
		all = e.Conns()
	}
	if len(all) == 0 {
		return true // it is not known
	}
	open := 0
	for _, c := range all {
		if !c.Accepted && (c.Connecting || c.Empty || c.Received-c.Sent >= reaction) {
			open++
		}
	}
	return open >= n
}
