//go:build unix

package terminal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/protocol"
)

// queryTime is how long the editor waits for the answer to a query.
const queryTime = 500 * time.Millisecond

// queries asks the session which words a line can go on with, and takes the answers out
// of its output.
type queries struct {
	session uint32        // random; the upper half of all ids
	last    uint32        // the id of the last query; used by the editor's goroutine only
	silent  bool          // a query was not answered; used by the editor's goroutine only
	answers chan []string // of capacity 1; the first word is the id

	held []byte // the beginning of an answer; used by the receiver's goroutine only
}

func newQueries() *queries {
	n := rand.Uint32() << 16
	return &queries{session: n, last: n, answers: make(chan []string, 1)}
}

// next returns a query, without the line end.
func (q *queries) next(text string) string {
	q.last = q.session | (q.last+1)&0xffff
	return protocol.QueryLine(q.last, text)
}

// wait returns the answer to the last query. ok is false if none comes in time: then the
// session is not asked again.
func (q *queries) wait() (words []string, ok bool) {
	timeout := time.NewTimer(queryTime)
	defer timeout.Stop()
	for {
		select {
		case a := <-q.answers:
			if a[0] == fmt.Sprintf("%08x", q.last) {
				return a[1:], true
			}
		case <-timeout.C:
			q.silent = true
			return nil, false
		}
	}
}

// filter returns the output without answers. It keeps back the beginning of an answer
// until the rest comes.
func (q *queries) filter(p []byte) []byte {
	if len(q.held) == 0 && bytes.IndexByte(p, protocol.Query) < 0 {
		return p
	}
	p = append(q.held, p...)
	q.held = nil
	mark := protocol.QueryLine(q.session, "")[:1+protocol.IDSize/2]
	var rest []byte
	for {
		i := bytes.IndexByte(p, protocol.Query)
		if i < 0 {
			return append(rest, p...)
		}
		rest, p = append(rest, p[:i]...), p[i:]
		n := min(len(p), len(mark))
		end := bytes.IndexByte(p, '\n')
		switch {
		case string(p[:n]) != mark[:n], end < 0 && len(p) > protocol.MaxAnswer: // not an answer
			rest, p = append(rest, p[0]), p[1:]
		case end < 0:
			q.held = slices.Clone(p)
			return rest
		default:
			q.take(string(p[:end]))
			p = p[end+1:]
		}
	}
}

// take passes an answer to the editor's goroutine, in place of an older one. It takes
// only words that can be shown.
func (q *queries) take(line string) {
	id, words, ok := protocol.ParseAnswer(line)
	if !ok {
		return
	}
	words = slices.DeleteFunc(words, func(w string) bool {
		return w == "" || len(w) > historyMaxLine || display.EscapeLine(w) != w
	})
	select {
	case <-q.answers:
	default:
	}
	q.answers <- append([]string{id}, words...)
}

// ask returns the words with which the session says that text can go on. ok is false if
// the session is not at its prompt, or does not answer.
func (d *dialog) ask(text string) (words []string, ok bool) {
	d.mu.Lock()
	prompted := d.prompted && !d.leaving.Load()
	d.mu.Unlock()
	if !prompted || d.queries.silent || !d.sender.line(d.queries.next(text), d.keyboard.dropsSeen()) {
		return nil, false
	}
	return d.queries.wait()
}

// completeWord is complete with the words of the session, or those that every session
// has.
func (d *dialog) completeWord(line string, pos int) (newLine string, newPos int, words []string) {
	return complete(line, pos, func(before, word string) []string {
		if words, ok := d.ask(before + word); ok {
			return words
		}
		return candidates(before, word)
	})
}
