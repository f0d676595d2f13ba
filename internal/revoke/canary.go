package revoke

// canarySize is how many targets go ahead of a run of many.
const canarySize = 20

// canaryEnd is the position before which a run's first targets stand. Whoever was refused is no proof of anything, and
// another one takes their place: privileged people come first, and often none of them is the operator's to revoke.
func (w *worker) canaryEnd() int {
	if w.run.Total <= canarySize {
		return w.run.Total
	}
	return min(w.run.Total, canarySize+w.countsNow()[Refused])
}

// judgeCanary lets the rest of a run go when its first targets have all been answered and one of them is confirmed. It
// pauses the run when none is.
func (w *worker) judgeCanary() {
	if w.run.Canary || w.ending != nil || w.run.Next < w.canaryEnd() || w.run.Untouched() == 0 {
		return
	}
	c := w.countsNow()
	switch {
	case c[Attempting] > 0:
	case c[Confirmed] > 0 || c[NotCovered]+c[Skipped] >= canarySize:
		w.run.Canary = true
	case c.Open() > 0:
	default:
		w.end(ending{state: RunPaused, pause: PauseCanary})
	}
}
