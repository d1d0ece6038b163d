//go:build linux || darwin || freebsd

package oneshot

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/stretchr/testify/require"
)

func TestTheLogLevelIsShownAndSet(t *testing.T) {
	lv := new(slog.LevelVar)
	cmd := LevelCommand(lv)
	_, c := startSession(t, &cmd)
	c.expect(protocol.Prompt)
	require.Equal(t, "log level is INFO\n", c.do("loglevel"))
	for _, test := range []struct {
		value, was string
		is         slog.Level
	}{
		{"debug", "INFO", slog.LevelDebug},
		{"INFO+2", "DEBUG", slog.LevelInfo + 2},
		{"-4", "INFO+2", slog.LevelDebug},
		{"warn", "DEBUG", slog.LevelWarn},
		{"Error-1", "WARN", slog.LevelError - 1},
		{"0", "WARN+3", slog.LevelInfo},
	} {
		require.Equal(t, fmt.Sprintf("log level was %s, is %v\n", test.was, test.is), c.do("loglevel "+test.value))
		require.Equal(t, test.is, lv.Level())
	}
	for _, value := range []string{"loud", "info+", "debug info", "''", "warning", "99999999999999999999"} {
		require.Regexp(t, `^loglevel: "[^"]*": give debug, info, warn, error, INFO\+2 or a number\n$`, c.do("loglevel "+value))
	}
	require.Equal(t, slog.LevelInfo, lv.Level())
}

func TestNoLogLevelIsAnError(t *testing.T) {
	cmd := LevelCommand(nil)
	_, c := startSession(t, &cmd)
	c.expect(protocol.Prompt)
	for _, line := range []string{"loglevel", "loglevel debug"} {
		require.Equal(t, "loglevel: the program has no level to set; give LevelCommand the LevelVar of its handler\n", c.do(line))
	}
}
