package stderrpipe

import (
	"errors"
	"fmt"
	"io"
)

// Command is the command stderr of a session, whose Holder is h. It writes the answer to
// w. If script is true, the session has one command.
func Command(h *Holder, w io.Writer, script bool, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "on":
		if script {
			return errors.New("stderr: a script's output is that of its command; use a session")
		}
		if err := Take(h); err != nil {
			return fmt.Errorf("stderr: %w", err)
		}
		fmt.Fprintln(w, "standard error comes here until stderr off, or the end of the session")
		return nil
	case len(args) == 1 && args[0] == "off":
		if !Give(h) {
			return errors.New("stderr: it is off in this session already")
		}
		fmt.Fprintln(w, "standard error does not come here any more")
		return nil
	case len(args) == 0:
		switch owner := Current(); owner {
		case nil:
			fmt.Fprintln(w, "standard error does not come here; stderr on sends a copy here")
		case h:
			fmt.Fprintln(w, "standard error comes here")
		default:
			fmt.Fprintf(w, "standard error goes to the session of pid %d\n", owner.PID)
		}
		return nil
	}
	return errors.New("stderr: write on or off; there is no -json, since the output comes from the program")
}
