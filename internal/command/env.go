package command

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
)

// lookCommands show information that the process already has: files of /proc/self,
// the environment and the metrics.
var lookCommands = []*Command{
	procCommand,
	{
		Name: "env", Args: "[NAME]", Summary: "show the program's environment as it is now",
		Help: "Passwords and tokens are often in the environment: think before you show it to others. With NAME, the command\n" +
			"shows one value in full. proc environ shows the environment with which the program was started. Control\n" +
			"characters are quoted as in Go." + jsonHelp,
		Flags: []string{jsonFlag}, Run: answers(findEnv),
	},
	metricsCommand,
}

// maxEnvValue is how many bytes of a value the list shows.
const maxEnvValue = 1 << 10

// envAnswer is the answer of env.
type envAnswer struct {
	document.Env
	one bool // only the value of one variable is shown
}

func findEnv(_ context.Context, s Session, args []string) (Answer, error) {
	if !s.Process().IsSelf() {
		s.Remark("this is the environment with which the program was started, not what it has changed since")
	}
	a := &envAnswer{Env: document.Env{Head: document.Of("env")}}
	switch len(args) {
	case 0:
	case 1:
		value, ok, err := lookupEnv(s.Process(), args[0])
		switch {
		case err != nil:
			return nil, fmt.Errorf("env: %w", err)
		case !ok:
			return nil, fmt.Errorf("env: %s is not set; env without a name lists all variables", plaintext.Line(plaintext.Clip(args[0], 40)))
		}
		a.Variables, a.one = []document.Variable{{Name: args[0], Value: value}}, true
		return a, nil
	default:
		return nil, fmt.Errorf("env: one name at a time, not %d: env %s", len(args), plaintext.Line(plaintext.Clip(args[0], 40)))
	}
	entries, cut, err := s.Process().Environ()
	if err != nil {
		return nil, fmt.Errorf("env: %w", err)
	}
	a.Cut = cut
	for _, entry := range slices.Sorted(slices.Values(entries)) {
		name, value := cutEntry(entry)
		v := document.Variable{Name: plaintext.Clip(name, maxEnvValue), Value: plaintext.Clip(value, maxEnvValue)}
		if len(value) > maxEnvValue {
			v.Bytes = len(value)
		}
		a.Variables = append(a.Variables, v)
	}
	return a, nil
}

// Text implements Answer.
func (a *envAnswer) Text(t *dump.Writer) {
	if a.one {
		t.Printf("%s\n", plaintext.Line(a.Variables[0].Value))
		return
	}
	for _, v := range a.Variables {
		if t.Ended() {
			return
		}
		t.Printf("%s=%s\n", plaintext.Line(v.Name), plaintext.Line(v.Value))
		if v.Bytes > 0 {
			t.Printf("  (%d bytes; in full: env %s)\n", v.Bytes, plaintext.Line(v.Name))
		}
	}
	if a.Cut {
		t.Printf("(cut off: the environment is longer than what is read of it)\n")
	}
}

// lookupEnv returns the value of a variable.
func lookupEnv(p *procfs.Process, name string) (value string, ok bool, err error) {
	if p.IsSelf() {
		value, ok = os.LookupEnv(name)
		return value, ok, nil
	}
	entries, _, err := p.Environ()
	for _, entry := range entries {
		if key, value := cutEntry(entry); key == name {
			return value, true, nil
		}
	}
	return "", false, err
}

// cutEntry splits NAME=value. On Windows a name may begin with = (=C:).
func cutEntry(entry string) (name, value string) {
	if i := strings.IndexByte(entry[min(1, len(entry)):], '='); i >= 0 {
		return entry[:i+1], entry[i+2:]
	}
	return entry, ""
}
