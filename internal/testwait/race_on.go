//go:build race

package testwait

// RaceDetector reports whether the tests run under the race detector.
const RaceDetector = true
