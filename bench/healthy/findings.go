package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/gomanhole/oneshot/internal/protocol"
)

var numbered = regexp.MustCompile(`^\d+\. `)

// findings returns what stands out according to a dump.
func findings(dump string) (all []string, err error) {
	_, list, found := strings.Cut("\n"+dump, "\n"+protocol.FindingsHeading+"\n")
	if !found {
		if !strings.Contains("\n"+dump, "\nNothing stands out.") {
			return nil, errors.New("it does not say whether anything stands out")
		}
		return nil, nil
	}
	list, _, _ = strings.Cut(list, "\n\n")
	list, _, _ = strings.Cut(list, "\nTo see more: ")
	for line := range strings.Lines(list) {
		line = strings.TrimRight(line, "\n")
		if numbered.MatchString(line) {
			all = append(all, line)
		} else if len(all) > 0 {
			all[len(all)-1] += "\n" + line
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the list of what stands out cannot be read")
	}
	return all, nil
}
