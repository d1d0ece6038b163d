//go:build linux

package bridge

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// answer is the body of an answer. It is sent when it is complete, or has more than
// maxHeld bytes: until then the command may fail. A client that knows the length does not
// wait for anything after the last byte.
type answer struct {
	w     http.ResponseWriter
	name  string // of the file; empty: it is text
	held  []byte
	begun bool
}

const maxHeld = 256 << 10

func (a *answer) Write(p []byte) (int, error) {
	if a.begun {
		return a.w.Write(p)
	}
	a.held = append(a.held, p...)
	if len(a.held) <= maxHeld {
		return len(p), nil
	}
	return len(p), a.begin()
}

// begin sends what there is so far.
func (a *answer) begin() error {
	a.begun = true
	if a.name == "" {
		a.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		a.w.Header().Set("Content-Type", "application/octet-stream")
		a.w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", fileName(a.name)))
	}
	_, err := a.w.Write(a.held)
	a.held = nil
	return err
}

// complete sends what was not sent yet.
func (a *answer) complete() {
	if !a.begun {
		a.w.Header().Set("Content-Length", strconv.Itoa(len(a.held)))
		_ = a.begin() // if the client has gone, there is nobody to tell
	}
}

// fileName returns a name without anything that has a meaning in a header or a path.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f || strings.ContainsRune(`"\/`, r) {
			return '_'
		}
		return r
	}, name)
}
