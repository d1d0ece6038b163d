package oneshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/plaintext"
)

// LevelCommand is a command for Options.Commands, loglevel [LEVEL], that shows
// and sets the level of the program's log. Levels are typed as slog prints them,
// in small letters too (debug, INFO+2), or as numbers (-4). The LevelVar is the
// one in the slog.HandlerOptions of the program's handler; with a nil one the
// command is an error.
func LevelCommand(lv *slog.LevelVar) Command {
	level := command.Setting{
		Command: "loglevel", What: "log level",
		Read: func() string { return lv.Level().String() },
		Set: func(value string) error {
			l, err := parseLevel(value)
			if err == nil {
				lv.Set(l)
			}
			return err
		},
	}
	return Command{
		Name: "loglevel", Args: "[LEVEL]", Summary: "show or set from which level on the program logs",
		Help: "LEVEL is debug, info, warn or error, one of them with a distance such as info+2, or a number: -4 is debug.",
		Run: func(ctx context.Context, s *Session, args []string) error {
			if lv == nil {
				return errors.New("loglevel: the program has no level to set; give LevelCommand the LevelVar of its handler")
			}
			return level.Run(ctx, view{s}, args)
		},
	}
}

func parseLevel(value string) (l slog.Level, err error) {
	if n, err := strconv.Atoi(value); err == nil {
		return slog.Level(n), nil
	}
	if err := l.UnmarshalText([]byte(value)); err != nil {
		return 0, fmt.Errorf("%q: give debug, info, warn, error, INFO+2 or a number", plaintext.Clip(value, 40))
	}
	return l, nil
}
