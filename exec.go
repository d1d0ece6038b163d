package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/plaintext"
)

// Exec is manhole's connection_handler="exec": it reads lines and runs them as
// commands, with no banner, no dump and no prompt. What they write goes out as
// it is; an error is one line. It ends with exit, or the end of the input.
type Exec struct{}

// Serve implements Handler.
func (Exec) Serve(ctx context.Context, s *Session) error {
	for {
		line, err := s.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil:
			err = s.Run(line)
		case !errors.Is(err, clientio.ErrTooLong):
			return err
		}
		switch {
		case errors.Is(err, errExit):
			return nil
		case err != nil:
			fmt.Fprintln(s, oneLine(err))
		}
	}
}

// oneLine is the text of an error without line ends.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(plaintext.Error(err), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
