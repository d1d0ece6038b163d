//go:build linux || darwin || freebsd

package main

import (
	"errors"
	"io"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/masks"
)

func runSignals(args []string, stdout, _ io.Writer) error {
	rest, err := parseFlags("signals", args, noFlags)
	if err != nil {
		return err
	}
	switch len(rest) {
	case 1:
		err = masks.Print(stdout, rest[0])
	case 2:
		err = masks.Compare(stdout, rest[0], rest[1])
	default:
		return usageError{"signals: give one PID or MASK, or two to compare, such as oneshot signals 4321 0x4b813efb"}
	}
	var syntax *masks.SyntaxError
	if errors.As(err, &syntax) {
		return usageError{"signals: " + syntax.Error()}
	}
	return err
}
