package oneshot

import (
	"context"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Exit statuses of a script's command.
const (
	statusOK          = 0
	statusFailed      = 1
	statusNoCommand   = 2   // there is no such command, or none was sent
	statusInterrupted = 130 // as a shell has it for SIGINT
)

// isScript reports whether a client wants a script's answer, which the name of
// its own socket says.
func isScript(client int) bool {
	return strings.HasPrefix(strings.TrimPrefix(path.Base(unixsock.PeerName(client)), "@"), protocol.SocketPrefix)
}

// script serves a client that sends one command line, and has the answer in
// frames: there is neither banner nor prompt in it, and it may be binary.
type script struct{}

func (script) Serve(ctx context.Context, s *Session) error {
	s.out.Frame(protocol.Output, "") // so that the client knows that it is being served
	err := s.runScript()
	status := statusOK
	switch {
	case errors.Is(err, errExit):
		err = nil
	case errors.As(err, new(errNoCommand)):
		status = statusNoCommand
	case errors.Is(err, errInterrupted):
		status = statusInterrupted
	case err != nil:
		status = statusFailed
	}
	if err != nil {
		s.out.Frame(protocol.Error, err.Error()+"\n")
	}
	s.out.Frame(protocol.End, strconv.Itoa(status))
	return s.Flush()
}

func (s *Session) runScript() error {
	line, err := s.ReadLine()
	s.mu.Lock()
	interrupted := s.stopped && !s.busy
	s.mu.Unlock()
	if interrupted {
		return errInterrupted
	}
	if errors.Is(err, io.EOF) || err == nil && strings.TrimSpace(line) == "" {
		return errNoCommand{""}
	}
	if err != nil {
		return err
	}
	switch s.m.opts.Handler.(type) {
	case Console, Exec:
	default:
		return errors.New("the program serves its clients itself (Options.Handler); there are no commands for scripts")
	}
	return s.Run(line)
}
