package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
)

// lookCommands show information that the process already has: files of /proc/self,
// the environment and the metrics.
var lookCommands = []*Command{
	procCommand,
	{
		Name: "env", Args: "[NAME]", Summary: "show the program's environment as it is now",
		Help: "Passwords and tokens are often in the environment: think before you show it to others. With NAME, the command\n" +
			"shows one value in full. proc environ shows the environment with which the program was started. Characters\n" +
			"that a terminal cannot show are quoted as in Go.",
		Run: runEnv,
	},
	metricsCommand,
}

// maxEnvValue is how many bytes of a value the list shows.
const maxEnvValue = 1 << 10

func runEnv(ctx context.Context, s Session, args []string) error {
	switch len(args) {
	case 0:
	case 1:
		value, ok := os.LookupEnv(args[0])
		if !ok {
			return fmt.Errorf("env: %s is not set; env without a name shows what is", plaintext.Line(plaintext.Clip(args[0], 40)))
		}
		_, err := io.WriteString(s, plaintext.Line(value)+"\n")
		return err
	default:
		return fmt.Errorf("env: one name at a time, not %d: env %s", len(args), plaintext.Line(plaintext.Clip(args[0], 40)))
	}
	t := &dump.Writer{Ctx: ctx, W: s}
	for _, entry := range slices.Sorted(slices.Values(os.Environ())) {
		if t.Ended() {
			break
		}
		name, value := cutEntry(entry)
		t.Printf("%s=%s\n", plaintext.Line(name), plaintext.Line(plaintext.Clip(value, maxEnvValue)))
		if len(value) > maxEnvValue {
			t.Printf("  (%d bytes; in full: env %s)\n", len(value), plaintext.Line(name))
		}
	}
	return t.Err
}

// cutEntry splits NAME=value. On Windows a name may begin with = (=C:).
func cutEntry(entry string) (name, value string) {
	if i := strings.IndexByte(entry[min(1, len(entry)):], '='); i >= 0 {
		return entry[:i+1], entry[i+2:]
	}
	return entry, ""
}
