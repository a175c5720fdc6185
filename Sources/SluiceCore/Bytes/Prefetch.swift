private import CProcessor

/// Hints that save waiting for memory.
public enum Prefetch {
    /// Asks the processor to fetch the line of its cache at `place`, which will be read soon.
    ///
    /// Any address will do, also of memory that is gone: nothing is read and nothing faults.
    public static func line(at place: UnsafeRawPointer) {
        unsafe cprocessor_prefetch(place)
    }
}
