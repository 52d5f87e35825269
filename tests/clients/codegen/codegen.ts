import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  schema: '../../../schema.graphql',
  documents: 'src/**/*.ts',
  generates: {
    'generated/graphql/': {
      preset: 'client',
      presetConfig: { persistedDocuments: true },
      config: { documentMode: 'string', scalars: { DateTime: 'string', JSON: 'unknown' } },
    },
  },
  importExtension: '.js',
};

export default config;
