/// How a process's file descriptors are shared between clients and everything else.
///
/// A client's request may need a connection to a backend, so clients have half of what the reserve
/// leaves. The reserve is for listeners, loops, Redis, admin port, log and probes; accepting stops
/// before it is touched.
package struct DescriptorBudget: Equatable {
    /// Client connections at once.
    package let connectionsMaximum: Int
    /// Connections whose descriptor is that high aren't taken.
    package let ceiling: Int32

    /// What can be had of `wanted` connections with that many descriptors; 0 is unknown, and takes
    /// the operator's word.
    package init(descriptors: Int, wanted: Int, workers: Int) {
        guard descriptors > 0 else {
            (connectionsMaximum, ceiling) = (wanted, .max)
            return
        }
        let reserve = min(64 + 16 * workers, descriptors / 2)
        connectionsMaximum = max(1, min(wanted, (descriptors - reserve) / 2))
        ceiling = Int32(clamping: descriptors - reserve)
    }
}
