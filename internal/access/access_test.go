package access

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSameUserOrRoot(t *testing.T) {
	const more = "it has CAP_DAC_OVERRIDE"
	for _, test := range []struct {
		uid, euid int
		more      string
		allMapped bool
		refusal   string // empty: may enter
	}{
		{0, 0, "", true, ""},
		{0, 1000, "", true, ""},
		{1000, 1000, "", true, ""},
		{1001, 1000, "", true, "uid 1001 is neither the process's uid 1000 nor root"},
		{1000, 0, "", true, "nor root"},
		{0, 1000, more, true, ""},
		{1000, 1000, more, true, "only root may enter this process: it has CAP_DAC_OVERRIDE; connect as root"},
		{1001, 1000, more, true, "nor root"},
		{Nobody, Nobody, "", true, ""},
		{Nobody, Nobody, more, true, more},
		{Nobody, 1000, "", true, "nor root"},
		{Nobody, Nobody, "", false, "stands for every user"},
		{Nobody, 0, "", false, "stands for every user"},
		{0, Nobody, "", false, ""},
	} {
		p := process{test.euid, func() string { return test.more }, func() bool { return test.allMapped }}
		err := p.check(test.uid)
		if test.refusal == "" {
			require.NoError(t, err, "%+v", test)
		} else {
			require.ErrorContains(t, err, test.refusal, "%+v", test)
		}
	}
}
