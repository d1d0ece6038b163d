package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Exec is manhole's connection_handler="exec". It reads lines and runs them as
// commands, without banner, dump or prompt. The output of commands is sent
// unchanged. An error is sent as one line. The session ends with the command exit
// or at the end of the input.
type Exec struct{}

func (Exec) forPeople() bool { return false }

// Serve implements Handler.
func (Exec) Serve(ctx context.Context, s *Session) error {
	s, release := s.until(ctx)
	defer release()
	for {
		line, err := s.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil:
			err = s.Run(line)
		case !errors.Is(err, ErrLineTooLong):
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

// oneLine returns the text of an error without line ends.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(plaintext.Error(err), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// The exit statuses of a script's command.
const (
	statusOK          = 0
	statusFailed      = 1
	statusNoCommand   = 2   // the command does not exist, or no command was sent
	statusInterrupted = 130 // what a shell reports for SIGINT
)

// framesFor reports whether the client is a script, and whether it accepts binary
// answers. Such a client says so by the name of its own socket.
func framesFor(client int) (script, binary bool) {
	name := strings.TrimPrefix(path.Base(unixsock.PeerName(client)), "@")
	script = strings.HasPrefix(name, protocol.SocketPrefix)
	return script, script && !strings.HasPrefix(name, protocol.TextSocketPrefix)
}

// script serves a client that sends one command line. The answer is sent in frames.
// It has neither banner nor prompt, and may be binary.
type script struct{}

func (script) Serve(ctx context.Context, s *Session) error {
	s.out.Frame(protocol.Output, "") // tells the client that it is being served
	err := s.runScript()
	status := statusOK
	switch {
	case errors.Is(err, errExit):
		err = nil
	case isA[errNoCommand](err):
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
	if _, ok := s.host.opts.Handler.(commandHandler); !ok {
		return errors.New("the program serves its clients itself (Options.Handler); there are no commands for scripts")
	}
	return s.Run(line)
}
