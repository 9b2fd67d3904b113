import { SparkCompareEngine } from '../../src/adapters/spark/index.ts';
import { findSpark } from '../servers/spark.ts';
import { describeCompareEngineContract } from './compare-engine.ts';

const make = async (tempDir: string) => new SparkCompareEngine({ tempDir, sparkHome: await findSpark() });

describeCompareEngineContract('Spark', make, 300_000);
