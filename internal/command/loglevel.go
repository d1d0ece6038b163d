package command

import (
	"fmt"
	"log/slog"
	"strconv"

	"github.com/gomanhole/oneshot/internal/plaintext"
)

// LogLevel returns the setting of the command loglevel.
func LogLevel(lv *slog.LevelVar) Setting {
	return Setting{
		Command: "loglevel", What: "log level",
		Read:  func() string { return lv.Level().String() },
		Value: func() string { return lv.Level().String() },
		Set: func(value string) error {
			l, err := parseLevel(value)
			if err == nil {
				lv.Set(l)
			}
			return err
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
