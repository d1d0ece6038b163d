package oneshot

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSameUserOrRoot(t *testing.T) {
	for _, test := range []struct {
		uid, own int
		enters   bool
	}{
		{0, 0, true},
		{0, 1000, true},
		{1000, 1000, true},
		{1001, 1000, false},
		{1000, 0, false},
		{overflowUID, 0, false},
		{overflowUID, 1000, false},
		{overflowUID, overflowUID, false},
		{0, overflowUID, true},
	} {
		err := sameUserOrRoot(Cred{UID: test.uid}, test.own)
		require.Equal(t, test.enters, err == nil, "uid %d at a process of uid %d: %v", test.uid, test.own, err)
	}
}
