import { MongoBulkWriteError, MongoError, MongoServerError } from 'mongodb';

/**
 * What a server may well answer when everything happens at once. Each is a refusal without effect, or a
 * passing fault after which the effect is open; neither matters to a workload that only asks for chaos.
 */
const EXPECTED = new Set([
  5, // GraphContainsCycle: a view on itself
  125, // CommandFailed: $out met other options
  2, // BadValue: an update form met a field of another type
  9, // FailedToParse: a field name that this form does not take
  14, // TypeMismatch
  20, // IllegalOperation: a capped collection may not
  26, // NamespaceNotFound
  27, // IndexNotFound
  28, // PathNotViable
  40, // ConflictingUpdateOperators
  48, // NamespaceExists
  54, // NotSingleValueField
  56, // EmptyFieldName
  52, // DollarPrefixedFieldName
  57, // DottedFieldName
  64, // WriteConcernFailed
  66, // ImmutableField
  67, // CannotCreateIndex
  68, // IndexAlreadyExists
  72, // InvalidOptions
  73, // InvalidNamespace
  82, // CommandFailed in between
  85, // IndexOptionsConflict
  86, // IndexKeySpecsConflict
  96, // OperationFailed
  117, // ConflictingOperationInProgress
  121, // DocumentValidationFailure
  165, // ViewDepthLimitExceeded
  166, // CommandNotSupportedOnView
  167, // OptionNotSupportedOnView
  171, // CannotIndexParallelArrays
  175, // QueryPlanKilled
  187, // a collection was dropped meanwhile
  197, // InvalidIndexSpecificationOption
  201, // CannotBuildIndexKeys: a symbol under a collation
  211, // KeyNotFound
  215, // DuplicateIndexKeys
  225, // TransactionTooOld
  228, // ViewMaxDepth
  237, // CursorKilled
  244, // TransactionAborted
  246, // SnapshotUnavailable
  251, // NoSuchTransaction
  256, // TransactionCommitted
  263, // OperationNotSupportedInTransaction
  276, // IndexBuildAborted
  290, // TransactionExceededLifetimeLimitSeconds
  313, // ViewDefinition
  359, // CannotConvertIndexToUnique
  10_003, // a capped document cannot grow
  11_000, // DuplicateKey
  12_587, // BackgroundOperationInProgress
  12_582, // the same, of a database
  16_410, // FieldPath may not start with $
  16_755, // geo keys
  16_766, // hashed index on an array
  17_261,
  17_262,
  17_280, // key too large
  28_724,
  28_799, // $out: target is capped
  17_152, // $out: target is capped
  17_017, // $out: the target changed meanwhile
  31_249, // path collision in $project
  40_176,
  40_414,
  40_602,
  13_026,
  13_068,
  13_654,
  13_027,
  13_023,
]);

const TRANSIENT = new Set([
  6, 7, 24, 43, 50, 89, 91, 100, 109, 112, 133, 134, 136, 189, 222, 262, 317, 364, 9001, 10107, 11600, 11601, 11602,
  13435, 13436, 13388,
]);

/** Whether the workload may meet this; everything else is told to whoever runs it. */
export function isExpected(error: unknown): boolean {
  if (error instanceof MongoBulkWriteError) {
    const errors = [error.writeErrors].flat();
    // Without a refused write and without a code it was the connection that ended.
    if (errors.length === 0) return typeof error.code !== 'number' || isKnown(error);
    return errors.every((each) => isExpectedCode(each.code));
  }
  if (error instanceof MongoServerError) return isKnown(error);
  // Everything else of the driver is about connections: closed pools, no primary, time-outs.
  if (error instanceof MongoError) return error.name !== 'MongoInvalidArgumentError' && error.name !== 'MongoAPIError';
  return error instanceof Error && /ECONN|EPIPE|raw insert|socket/i.test(error.message);
}

function isKnown(error: MongoServerError): boolean {
  if (error.hasErrorLabel('TransientTransactionError') || error.hasErrorLabel('RetryableWriteError')) return true;
  return isExpectedCode(error.code);
}

function isExpectedCode(code: unknown): boolean {
  return typeof code === 'number' && (EXPECTED.has(code) || TRANSIENT.has(code));
}
