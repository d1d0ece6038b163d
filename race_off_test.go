//go:build !race

package oneshot

// raceDetector reports whether the tests run under the race detector.
const raceDetector = false
